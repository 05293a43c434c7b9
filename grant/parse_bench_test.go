package grant

import "testing"

// BenchmarkParse reads what DataPass sends: an approval of v2 as the intake of
// bench has it, the smaller one of the tests, a revocation of v1. Beside each
// stands the parser that leaves everything to the library.
func BenchmarkParse(b *testing.B) {
	for _, c := range []struct {
		name   string
		format Format
		file   string
	}{{"v2-approval", V2, "../../bench/approve.json"}, {"v2-small", V2, "v2_approve.json"}, {"v1", V1, "v1_revoke.json"}} {
		body := example(b, c.file)
		for _, by := range []struct {
			name  string
			parse func(string, Format, []byte) (Event, error)
		}{{"", Parse}, {"/library", slowParse}} {
			b.Run(c.name+by.name, func(b *testing.B) {
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := by.parse("api_entreprise", c.format, body); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
