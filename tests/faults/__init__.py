"""
Faults in the middle of everything: who, what, when, and on which way, as data.

:mod:`tests.faults.table` says what there is, and :mod:`tests.faults.rows` which cases are played.
:mod:`tests.faults.stream` and :mod:`tests.faults.forward` bring one to its moment,
:mod:`tests.faults.strike` applies the fault, and :mod:`tests.faults.verdict` judges those who are
left. :mod:`tests.test_faults` plays them all.
"""
