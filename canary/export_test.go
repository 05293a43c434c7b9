package canary

// Writings is how a secret may be written.
var Writings = writings

// Block is how much is looked at without a pause.
const Block = block
