"""How the networks of ``vizlib.zoo.networks``, written after official releases, are read."""
