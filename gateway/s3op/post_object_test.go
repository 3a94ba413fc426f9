package s3op_test

import "testing"

// The file of a form may take its time, once it is known that it may be sent.
func TestFormIsAdmitted(t *testing.T) {
	s := newServer(t)
	s.must("PUT /bucket", nil, "")
	const key = "--XX\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk\r\n"
	const file = "--XX\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\ncontent\r\n--XX--\r\n"
	for _, tt := range []struct {
		name, form string
		status     int
		admitted   bool
	}{
		{"without a key", file, 400, false},
		{"with what was signed left out", key + "--XX\r\nContent-Disposition: form-data; name=\"x-amz-signature\"\r\n\r\ns\r\n" + file, 403, false},
		{"of who may", key + file, 204, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.admitted.Store(false)
			a := s.do("POST /bucket", H{"Content-Type": "multipart/form-data; boundary=XX"}, tt.form)
			if got := s.admitted.Load(); a.status != tt.status || got != tt.admitted {
				t.Errorf("%d %s, admitted: %v", a.status, a.body, got)
			}
		})
	}
}
