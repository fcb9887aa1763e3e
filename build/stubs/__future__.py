# What a module asks of it is what its compiler has done.
annotations = None
