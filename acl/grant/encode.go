package grant

import (
	"encoding/hex"
	"errors"
)

// ErrCorrupt says that bytes are no ACL that this release can read.
var ErrCorrupt = errors.New("not an access control list")

const (
	format  = 1  // the first byte
	idBytes = 32 // of a canonical ID
)

// MaxBytes is the greatest length of a stored ACL.
const MaxBytes = 1 + Max*(2+idBytes)

// Append encodes an ACL as it is stored, in the form of docs/formats/acl.md. It panics where the ACL has more
// than Max grants or an ID that is none, which whoever made it has checked.
func (a ACL) Append(b []byte) []byte {
	if len(a) > Max {
		panic("grant: too many grants")
	}
	b = append(b, format)
	for _, g := range a {
		b = append(b, byte(g.Permission), byte(g.Group))
		if g.Group != NoGroup {
			continue
		}
		id, ok := parseID(g.ID)
		if !ok {
			panic("grant: malformed canonical ID " + g.ID)
		}
		b = append(b, id...)
	}
	return b
}

// Parse decodes what Append made: nothing but that, byte for byte. ErrCorrupt.
func Parse(b []byte) (ACL, error) {
	if len(b) == 0 || b[0] != format {
		return nil, ErrCorrupt
	}
	a := ACL{}
	for b = b[1:]; len(b) > 0; {
		if len(b) < 2 || len(a) == Max {
			return nil, ErrCorrupt
		}
		g := Grant{Grantee{Group: Group(b[1])}, Permission(b[0])}
		if b = b[2:]; g.Permission < Read || g.Permission > FullControl || g.Group > LogDelivery {
			return nil, ErrCorrupt
		}
		if g.Group == NoGroup {
			if len(b) < idBytes {
				return nil, ErrCorrupt
			}
			g.ID = hex.EncodeToString(b[:idBytes])
			b = b[idBytes:]
		}
		a = append(a, g)
	}
	return a, nil
}

// ValidID says whether a text has the form of a canonical ID.
func ValidID(id string) bool {
	_, ok := parseID(id)
	return ok
}

func parseID(id string) ([]byte, bool) {
	raw, err := hex.DecodeString(id)
	return raw, err == nil && len(raw) == idBytes && hex.EncodeToString(raw) == id
}
