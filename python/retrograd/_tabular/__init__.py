"""Tables of a .csv file as data: read, prepared, trained on and predicted for, as the command line does.

``reading`` makes columns of text of a file, ``columns`` numbers of a column, ``preparation`` a table ready for
a network and what is remembered of it in the model file, ``training`` and ``prediction`` are the two commands
without their options, ``report`` says how training went, ``command`` has the options.
"""
