package s3xml

import "shoal/acl/grant"

// MaxACL bounds the document of an ACL in bytes: 100 grants fit, however they are written.
const MaxACL = 64 << 10

// Grantee is whom a request grants something, by one of three names.
type Grantee struct {
	ID, URI, Email string
}

// RequestedGrant is a grant as a request has it. Whether there is such a grantee is not known yet.
type RequestedGrant struct {
	Grantee
	Permission grant.Permission
}

// ACL is the document of PutBucketAcl and PutObjectAcl.
type ACL struct {
	Owner  string // canonical ID
	Grants []RequestedGrant
}

const (
	aclRoot = "AccessControlPolicy"
	ofType  = `<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="`
)

// AppendACL appends the document of GetBucketAcl and GetObjectAcl. owner is a principal's ID.
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketAcl.html).
func AppendACL(b []byte, owner string, a grant.ACL) []byte {
	b = open(appendOwner(begin(b, aclRoot), owner), "AccessControlList")
	for _, g := range a {
		b = append(open(b, "Grant"), ofType...)
		if g.Group == grant.NoGroup {
			b = element(append(b, `CanonicalUser">`...), "ID", g.ID)
		} else {
			b = element(append(b, `Group">`...), "URI", g.Group.URI())
		}
		b = element(shut(b, "Grantee"), "Permission", g.Permission.String())
		b = shut(b, "Grant")
	}
	return end(shut(b, "AccessControlList"), aclRoot)
}

// ParseACL reads the document of PutBucketAcl and PutObjectAcl. ErrMalformed for what the document cannot be; how many
// grants an ACL may have is for the caller to say.
func ParseACL(text []byte) (*ACL, error) {
	p, err := newParser(text, 8*(grant.Max+2))
	if err != nil {
		return nil, err
	}
	p.typed = true // what a grantee is shows from what is inside
	a, once := new(ACL), seen{}
	err = p.document(aclRoot, func(name string) error {
		if err := once.again(name); err != nil {
			return err
		}
		switch name {
		case "Owner":
			who, err := p.grantee()
			if err == nil && who.ID == "" {
				err = malformed("an owner without ID")
			}
			a.Owner = who.ID
			return err
		case "AccessControlList":
			return p.children(func(name string) error {
				if name != "Grant" {
					return malformed("element %s", name)
				}
				g, err := p.grant()
				a.Grants = append(a.Grants, g)
				return err
			})
		}
		return malformed("element %s", name)
	})
	if err == nil && (!once["Owner"] || !once["AccessControlList"]) {
		err = malformed("no owner, or no list")
	}
	return a, err
}

// grant reads one grant: whom it is for, and what it permits.
func (p *parser) grant() (RequestedGrant, error) {
	var g RequestedGrant
	once := seen{}
	err := p.children(func(name string) error {
		if err := once.again(name); err != nil {
			return err
		}
		switch name {
		case "Grantee":
			var err error
			g.Grantee, err = p.grantee()
			return err
		case "Permission":
			text, err := p.text()
			ok := false
			if g.Permission, ok = grant.ParsePermission(text); err == nil && !ok {
				err = malformed("permission %s", text)
			}
			return err
		}
		return malformed("element %s", name)
	})
	if err == nil && (!once["Grantee"] || !once["Permission"]) {
		err = malformed("half a grant")
	}
	return g, err
}

// grantee reads who an owner or a grantee is: one name. Names for people to read do not count.
func (p *parser) grantee() (Grantee, error) {
	var g Grantee
	names := 0
	once := seen{}
	err := p.children(func(name string) error {
		if err := once.again(name); err != nil {
			return err
		}
		text, err := p.text()
		if err == nil && text == "" && name != "DisplayName" {
			err = malformed("an empty %s", name)
		}
		switch names++; name {
		case "ID":
			g.ID = text
		case "URI":
			g.URI = text
		case "EmailAddress":
			g.Email = text
		case "DisplayName":
			names--
		default:
			err = malformed("element %s", name)
		}
		return err
	})
	if err == nil && names != 1 {
		err = malformed("a grantee of %d names", names)
	}
	return g, err
}
