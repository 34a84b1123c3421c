from math import sqrt

def norm(x: float, y: float) -> float:
    
    return r
