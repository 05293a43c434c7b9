package store

// bankInvariants are what must hold of the bank window.
var bankInvariants = []invariant{}
