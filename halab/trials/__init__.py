"""What searches by repeated runs share: the rule that says what runs mean, and the log from which a search goes on."""
