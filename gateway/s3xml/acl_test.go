package s3xml

import (
	"errors"
	"strings"
	"testing"
)

func TestIsOwnerACL(t *testing.T) {
	own := string(AppendOwnerACL(nil, "root"))
	for name, tt := range map[string]struct {
		doc  string
		want bool
	}{
		"as it is written":   {own, true},
		"with display names": {strings.ReplaceAll(own, "</ID>", "</ID><DisplayName>r</DisplayName>"), true},
		"of another owner":   {strings.ReplaceAll(own, "root", "alice"), false},
		"to another":         {strings.Replace(own, "<ID>root</ID></Grantee>", "<ID>alice</ID></Grantee>", 1), false},
		"to a group":         {strings.Replace(own, "<ID>root</ID></Grantee>", "<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee>", 1), false},
		"less":               {strings.ReplaceAll(own, "FULL_CONTROL", "READ"), false},
		"twice":              {strings.Replace(own, "</Grant>", "</Grant><Grant><Grantee><ID>root</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant>", 1), false},
		"nothing":            {"<AccessControlPolicy/>", false},
	} {
		if got, err := IsOwnerACL([]byte(tt.doc), "root"); got != tt.want || err != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, doc := range []string{"", "<Delete/>", "<AccessControlPolicy><Grant/></AccessControlPolicy>", own + "x"} {
		if _, err := IsOwnerACL([]byte(doc), "root"); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", doc, err)
		}
	}
}

func FuzzIsOwnerACL(f *testing.F) {
	f.Add(AppendOwnerACL(nil, "root"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		same, err := IsOwnerACL(doc, "root")
		if err != nil && (same || !errors.Is(err, ErrMalformed)) {
			t.Fatalf("%v, %v", same, err)
		}
	})
}
