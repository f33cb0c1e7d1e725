// MathML from strings.
