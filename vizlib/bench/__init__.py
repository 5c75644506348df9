"""What an explanation costs beside the floor that any such explanation stands on, in time and in memory."""
