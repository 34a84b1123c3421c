"""What is asked at each place of the text, while it is decoded.

Each witness knows one kind of place and returns a ``Cut`` where it has strong
evidence that the text ran too far, ``None`` where it goes on. What they note for
each other stands in ``Progress``.
"""
