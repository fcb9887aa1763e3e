# Enough of typing for classes and aliases that are made when a module is imported; nothing here checks a type.
import collections
from collections.abc import *  # noqa: F403

TYPE_CHECKING = False


class _Form:
    """Any special form: subscripted, called, joined by |, or used as a base, it stands for nothing."""

    def __getitem__(self, item):
        return self

    def __call__(self, *args, **kwargs):
        return self

    def __or__(self, other):
        return self

    __ror__ = __or__

    def __mro_entries__(self, bases):
        return ()


class _Base:
    def __class_getitem__(cls, item):
        return cls


class Generic(_Base):
    pass


class _StructuralType(type):
    """A protocol's isinstance: the object has every public member that the protocol names, or __iter__."""

    def __instancecheck__(cls, instance):
        wanted = [name for name in vars(cls) if name == "__iter__" or name[0] != "_"]
        return all(hasattr(instance, name) for name in wanted)


class Protocol(_Base, metaclass=_StructuralType):
    pass


class _TypedDict(dict):
    def __init_subclass__(cls, total=True):
        pass


class _NamedTupleType(type):
    def __new__(cls, name, bases, body):
        if not bases:
            return type.__new__(cls, name, bases, body)
        fields = list(body.get("__annotations__", ()))
        defaults = [body[field] for field in fields if field in body]
        made = collections.namedtuple(name, fields, defaults=defaults, module=body.get("__module__"))
        for key, value in body.items():
            if key not in fields and key not in ("__module__", "__qualname__", "__annotations__", "__new__"):
                setattr(made, key, value)
        return made


class _NamedTuple(metaclass=_NamedTupleType):
    pass


class _Functional:
    def __init__(self, base):
        self.base = base

    def __mro_entries__(self, bases):
        return (self.base,)

    def __call__(self, name, fields):
        if self.base is _TypedDict:
            return dict
        return collections.namedtuple(name, [field[0] for field in fields])


NamedTuple, TypedDict = _Functional(_NamedTuple), _Functional(_TypedDict)


def cast(typ, value):
    return value


def overload(function):
    return function


final = runtime_checkable = overload


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return _Form()
