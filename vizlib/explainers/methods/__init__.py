"""Every explanation method, one file each, in wings by what it reads."""
