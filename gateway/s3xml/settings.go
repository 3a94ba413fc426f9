package s3xml

import "strconv"

// MaxSetting bounds the documents of small settings in bytes.
const MaxSetting = 16 << 10

// Encryption is a bucket's default encryption.
type Encryption struct {
	Algorithm string // AES256, aws:kms, …
	KeyID     string
	BucketKey bool
}

// ParseEncryption reads the document of PutBucketEncryption, which has one rule.
// ErrMalformed for what the document cannot be, *UnsupportedError for blocked types.
func ParseEncryption(text []byte) (Encryption, error) {
	var e Encryption
	p, err := newParser(text, 32)
	if err != nil {
		return e, err
	}
	once := seen{}
	err = p.document("ServerSideEncryptionConfiguration", func(name string) error {
		if name != "Rule" {
			return malformed("element %s", name)
		}
		if err := once.again(name); err != nil {
			return err
		}
		return p.children(func(name string) error {
			if err := once.again(name); err != nil {
				return err
			}
			switch name {
			case "ApplyServerSideEncryptionByDefault":
				return p.children(func(name string) error { return p.encryptionDefault(&e, once, name) })
			case "BucketKeyEnabled":
				e.BucketKey, err = p.boolean(name)
				return err
			case "BlockedEncryptionTypes":
				return &UnsupportedError{Element: name}
			}
			return malformed("element %s", name)
		})
	})
	if err == nil && e.Algorithm == "" {
		err = malformed("no algorithm")
	}
	return e, err
}

func (p *parser) encryptionDefault(e *Encryption, once seen, name string) error {
	if err := once.again(name); err != nil {
		return err
	}
	text, err := p.text()
	switch {
	case err != nil:
		return err
	case name == "SSEAlgorithm":
		e.Algorithm = text
	case name == "KMSMasterKeyID":
		e.KeyID = text
	default:
		return malformed("element %s", name)
	}
	return nil
}

// AppendEncryption appends the document of GetBucketEncryption
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketEncryption.html).
func AppendEncryption(b []byte, e Encryption) []byte {
	const root, inner = "ServerSideEncryptionConfiguration", "ApplyServerSideEncryptionByDefault"
	b = open(open(begin(b, root), "Rule"), inner)
	b = some(element(b, "SSEAlgorithm", e.Algorithm), "KMSMasterKeyID", e.KeyID)
	b = boolean(shut(b, inner), "BucketKeyEnabled", e.BucketKey)
	return end(shut(b, "Rule"), root)
}

// PublicAccess is a bucket's public access block.
type PublicAccess struct {
	BlockACLs, IgnoreACLs, BlockPolicy, Restrict bool
}

// ParsePublicAccess reads the document of PutPublicAccessBlock; what it does not name is
// off. ErrMalformed for what the document cannot be.
func ParsePublicAccess(text []byte) (PublicAccess, error) {
	var a PublicAccess
	p, err := newParser(text, 16)
	if err != nil {
		return a, err
	}
	once := seen{}
	err = p.document("PublicAccessBlockConfiguration", func(name string) error {
		if err := once.again(name); err != nil {
			return err
		}
		flag := map[string]*bool{
			"BlockPublicAcls": &a.BlockACLs, "IgnorePublicAcls": &a.IgnoreACLs,
			"BlockPublicPolicy": &a.BlockPolicy, "RestrictPublicBuckets": &a.Restrict,
		}[name]
		if flag == nil {
			return malformed("element %s", name)
		}
		*flag, err = p.boolean(name)
		return err
	})
	return a, err
}

// AppendPublicAccess appends the document of GetPublicAccessBlock
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetPublicAccessBlock.html).
func AppendPublicAccess(b []byte, a PublicAccess) []byte {
	const root = "PublicAccessBlockConfiguration"
	b = boolean(begin(b, root), "BlockPublicAcls", a.BlockACLs)
	b = boolean(b, "IgnorePublicAcls", a.IgnoreACLs)
	b = boolean(b, "BlockPublicPolicy", a.BlockPolicy)
	b = boolean(b, "RestrictPublicBuckets", a.Restrict)
	return end(b, root)
}

// ParseOwnership reads the document of PutBucketOwnershipControls and gives its
// ObjectOwnership. ErrMalformed for what the document cannot be.
func ParseOwnership(text []byte) (string, error) {
	return parseNested(text, "OwnershipControls", "Rule", "ObjectOwnership")
}

// AppendOwnership appends the document of GetBucketOwnershipControls
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketOwnershipControls.html).
func AppendOwnership(b []byte, ownership string) []byte {
	const root = "OwnershipControls"
	b = element(open(begin(b, root), "Rule"), "ObjectOwnership", ownership)
	return end(shut(b, "Rule"), root)
}

// ParseRequestPayment reads the document of PutBucketRequestPayment and gives its Payer.
// ErrMalformed for what the document cannot be.
func ParseRequestPayment(text []byte) (string, error) {
	return parseNested(text, "RequestPaymentConfiguration", "Payer")
}

// AppendRequestPayment appends the document of GetBucketRequestPayment
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketRequestPayment.html).
func AppendRequestPayment(b []byte, payer string) []byte {
	const root = "RequestPaymentConfiguration"
	return end(element(begin(b, root), "Payer", payer), root)
}

// parseNested reads a document of one text inside of elements that each hold one.
func parseNested(text []byte, root string, path ...string) (string, error) {
	p, err := newParser(text, len(path)+1)
	if err != nil {
		return "", err
	}
	var out string
	found := false
	var inside func(depth int) func(string) error
	inside = func(depth int) func(string) error {
		return func(name string) error {
			switch {
			case name != path[depth] || found:
				return malformed("element %s", name)
			case depth < len(path)-1:
				return p.children(inside(depth + 1))
			}
			found = true
			out, err = p.text()
			return err
		}
	}
	if err := p.document(root, inside(0)); err != nil {
		return "", err
	}
	if !found {
		return "", malformed("no %s", path[len(path)-1])
	}
	return out, nil
}

// AppendUnset appends the document that S3 gives for a setting that was never set and has
// an empty document: its root alone.
func AppendUnset(b []byte, root string) []byte { return end(begin(b, root), root) }

// AppendNoConfigurations appends a list of configurations that has none.
func AppendNoConfigurations(b []byte, root string) []byte {
	return end(boolean(begin(b, root), "IsTruncated", false), root)
}

// AppendPolicyStatus appends the document of GetBucketPolicyStatus
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketPolicyStatus.html).
func AppendPolicyStatus(b []byte, public bool) []byte {
	const root = "PolicyStatus"
	return end(element(begin(b, root), "IsPublic", strconv.FormatBool(public)), root)
}
