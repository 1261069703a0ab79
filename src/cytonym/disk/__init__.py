"""Files and folders: whole under their final name or not there, and what goes wrong with them."""
