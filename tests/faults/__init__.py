"""
Faults at any moment, as data: the victim, the fault, the moment and the path.

:mod:`tests.faults.table` lists the possibilities, and :mod:`tests.faults.rows` the cases that are
run. :mod:`tests.faults.stream` and :mod:`tests.faults.forward` bring a case to its moment,
:mod:`tests.faults.strike` applies the fault, and :mod:`tests.faults.verdict` judges the remaining
programs. :mod:`tests.test_faults` runs them all.
"""
