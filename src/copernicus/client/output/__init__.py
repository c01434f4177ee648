"""How answers are shown: text, json."""
