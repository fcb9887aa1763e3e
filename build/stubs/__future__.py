# The compiler has done already what a module asks for here.
annotations = None
