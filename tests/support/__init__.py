"""What several test directories share. Nothing in here imports the product."""
