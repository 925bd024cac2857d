"""How soon the ends of operations are known, and for how many polls: this library against its peers."""
