"""Tables of a .csv file as data: read, prepared, trained on and predicted for, as the command line does.

``reading`` makes columns of text of a file, ``columns`` makes numbers of a column, ``preparation`` is a table
made ready for a network and what the model file remembers of it, ``training`` and ``prediction`` are the two
commands without their options, ``report`` says how training went, ``command`` has the options.
"""
