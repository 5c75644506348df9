"""What an audit shows as a whole: read in one walk over its parts, in memory that does not grow with the pictures."""
