"""Variables of the templates in language.txt."""

context = {
    "s": "Hello, World",
    "u": "aé😀\U0001F1E8\U0001F1ED日",
    "l": [1, 2, 3, 4, 5],
    "d": {"a": 1, "b": "two", "n": None},
    "nested": {"a": {"b": [1, {"c": "deep"}]}, "list": [[1, 2], []], "text": 'ü "quoted"'},
    "shadow": {"items": "own", "get": "also own"},
    "inf": 1.5,
    "people": [
        {"name": "Ann", "age": 41, "city": "Rome", "address": [{"street": "Via A"}]},
        {"name": "Bob", "age": 29, "city": "Oslo", "address": [{"street": "Vei B"}], "zip": "0150"},
        {"name": "Cyd", "age": 35, "city": "rome", "address": []},
    ],
    "tree": [
        {"name": "a", "children": [{"name": "b", "children": []}, {"name": "c", "children": [{"name": "e"}]}]},
        {"name": "f"},
    ],
}
