# CPython holds this module already, frozen into the interpreter (_frozen_importlib); importlib/__init__.py names it so.
