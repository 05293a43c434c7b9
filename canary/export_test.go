package canary

// Writings is how a secret may be written.
var Writings = writings

// RecordIn makes a folder hold the records of processes.
func RecordIn(folder string) { recordFolder = folder }

// Scan looks into the records, and at the processes that run now and were started
// by those that keep one.
func (s Suite) Scan() ([]Find, error) {
	found, _, err := s.scan(recordFolder)
	w := watcher{seen: map[string]bool{}}
	w.look()
	return append(found, w.scan()...), err
}

// RecordName is the folder of records, beside that of the program.
const RecordName = recordName

// Block is how much is looked at without a pause.
const Block = block

// SecretsOf is the record of what all processes heard of.
const SecretsOf = secretsOf
