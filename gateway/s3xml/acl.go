package s3xml

// AppendOwnerACL appends the document of GetBucketAcl and GetObjectAcl where the owner has
// full control and nobody else has anything
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketAcl.html).
func AppendOwnerACL(b []byte, owner string) []byte {
	const root = "AccessControlPolicy"
	b = appendOwner(begin(b, root), owner)
	b = open(open(b, "AccessControlList"), "Grant")
	b = append(b, `<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">`...)
	b = shut(element(b, "ID", owner), "Grantee")
	b = shut(element(b, "Permission", "FULL_CONTROL"), "Grant")
	return end(shut(b, "AccessControlList"), root)
}

// IsOwnerACL says whether a document of PutBucketAcl or PutObjectAcl grants the owner full control and
// nobody else anything: what AppendOwnerACL writes. ErrMalformed for what the document cannot be.
func IsOwnerACL(text []byte, owner string) (bool, error) {
	p, err := newParser(text, 64)
	if err != nil {
		return false, err
	}
	p.typed = true              // what a grantee is shows from what is inside
	var named, granted []string // the owner; grantee and permission of each grant
	err = p.document("AccessControlPolicy", func(name string) error {
		switch name {
		case "Owner":
			return p.person(&named)
		case "AccessControlList":
			return p.children(func(string) error { return p.grant(&granted) })
		}
		return malformed("element %s", name)
	})
	owners := len(named) == 1 && named[0] == owner
	return err == nil && owners && len(granted) == 2 && granted[0] == owner && granted[1] == "FULL_CONTROL", err
}

// grant reads one grant: whom it is for, and what it permits.
func (p *parser) grant(into *[]string) error {
	return p.children(func(name string) error {
		switch name {
		case "Grantee":
			return p.person(into)
		case "Permission":
			text, err := p.text()
			*into = append(*into, text)
			return err
		}
		return malformed("element %s", name)
	})
}

// person reads who an owner or a grantee is. Names for people to read do not count.
func (p *parser) person(into *[]string) error {
	return p.children(func(name string) error {
		text, err := p.text()
		if name != "DisplayName" {
			*into = append(*into, text)
		}
		return err
	})
}
