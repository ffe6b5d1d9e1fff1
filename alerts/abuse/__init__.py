"""Signs of abuse: facts on accounts and devices, what they show, and cases for a human to decide."""
