"""What guests are promised: tickets with clocks that run from complaint, low rating or enquiry to the last word."""
