package export

import (
	"encoding/json"

	"shoal/gateway/audit"
)

// appendEnvelope appends a record with what tells it from all others, as one JSON object in one line. The record is
// in it byte for byte.
func appendEnvelope(b []byte, batch *audit.Batch, r *audit.Exported) []byte {
	for _, f := range [...]struct{ before, text string }{
		{`{"id":`, r.ID}, {`,"writer":`, batch.Writer}, {`,"log":`, batch.Log}, {`,"chain":`, batch.Chain},
	} {
		b = append(b, f.before...)
		text, err := json.Marshal(f.text)
		if err != nil {
			panic(err) // a string is always JSON
		}
		b = append(b, text...)
	}
	b = append(b, `,"record":`...)
	b = append(b, r.Text...)
	return append(b, '}')
}
