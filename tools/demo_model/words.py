"""The small world that questions and stories share."""

NAMES = (
    "Anna", "Ben", "Clara", "Dan", "Ella", "Finn", "Grace", "Hugo", "Iris", "Jack", "Kate", "Leo", "Mia",
    "Nora", "Omar", "Paul", "Rosa", "Sam", "Tom", "Uma", "Vera", "Will", "Yara", "Zoe",
)  # fmt: skip
GIRLS = frozenset(
    ("Anna", "Clara", "Ella", "Grace", "Iris", "Kate", "Mia", "Nora", "Rosa", "Uma", "Vera", "Yara", "Zoe")
)
ANIMALS = ("cat", "dog", "bird", "duck", "frog", "fox", "mouse", "rabbit", "bear", "cow", "horse", "turtle")
COLORS = ("red", "blue", "green", "yellow", "purple", "orange", "white", "black", "pink", "brown")
OBJECTS = ("ball", "kite", "drum", "hat", "book", "boat", "bell", "cup", "doll", "box", "car", "bike")
PLACES = ("river", "forest", "farm", "lake", "hill", "village", "garden", "sea")
FOODS = ("berries", "bread", "cheese", "apples", "soup", "cake", "nuts", "milk")
SKILLS = ("swim", "sing", "read", "dance", "draw", "run fast", "climb", "cook")
FEELINGS = ("kind", "brave", "happy", "quiet", "clever", "curious", "gentle", "funny")
