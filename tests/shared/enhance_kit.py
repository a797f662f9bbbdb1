"""A request and a prompt of it that keeps all rules, for tests of enhancement."""

REQUEST = "a woman at a window says “Good morning” and 『早上好』"
PROMPT = (
    'A woman leans into the light of a window and says, "Good morning".\n\nShe turns, smiles and adds in Mandarin, '
    '"早上好".\n\nThe audio shows her calm voice over faint street noise.'
)
