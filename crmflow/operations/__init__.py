"""What does the program do? One file per verb or family of verbs; nothing here prints."""
