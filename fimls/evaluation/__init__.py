"""Infilling benchmarks, run on the product itself, with every figure's definition in the open.

``datasets`` reads the published files, ``sandbox`` executes programs in a jail,
``infilling`` runs the modes over one shared generation per hole, ``figures``
defines what is counted, ``report`` prints it.
"""
