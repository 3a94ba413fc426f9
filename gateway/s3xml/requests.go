package s3xml

import (
	"strconv"
	"time"

	"shoal/node/api"
)

// Bounds of request documents in bytes. A completion names up to 10,000 parts with an
// ETag and a checksum each, a deletion 1,000 keys of up to 1,024 bytes that may be
// escaped sixfold.
const (
	MaxCreateBucket = 16 << 10
	MaxDelete       = 8 << 20
	MaxComplete     = 4 << 20
)

// MaxDeleteKeys is the greatest number of keys in one DeleteObjects request.
const MaxDeleteKeys = 1000

// Delete is the request of DeleteObjects.
type Delete struct {
	Quiet bool
	Items []api.DeleteItem
}

// seen notes elements that came, to find those that come twice.
type seen map[string]bool

func (s seen) again(name string) error {
	if s[name] {
		return malformed("element %s twice", name)
	}
	s[name] = true
	return nil
}

// ParseDelete reads the document of DeleteObjects. The order of Items is that of the
// document. ErrMalformed for what the document cannot be, 0 and more than 1,000 keys
// among them.
func ParseDelete(text []byte) (*Delete, error) {
	p, err := newParser(text, MaxDeleteKeys*6+16)
	if err != nil {
		return nil, err
	}
	d := new(Delete)
	once := seen{}
	err = p.document("Delete", func(name string) error {
		switch name {
		case "Quiet":
			if err := once.again(name); err != nil {
				return err
			}
			d.Quiet, err = p.boolean(name)
			return err
		case "Object":
			if len(d.Items) == MaxDeleteKeys {
				return malformed("more than %d keys", MaxDeleteKeys)
			}
			item, err := p.deleteItem()
			d.Items = append(d.Items, item)
			return err
		}
		return malformed("element %s", name)
	})
	if err == nil && len(d.Items) == 0 {
		err = malformed("no keys")
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

// deleteItem reads one Object element.
func (p *parser) deleteItem() (api.DeleteItem, error) {
	var item api.DeleteItem
	once := seen{}
	err := p.children(func(name string) error {
		if err := once.again(name); err != nil {
			return err
		}
		text, err := p.text()
		if err != nil {
			return err
		}
		switch name {
		case "Key":
			item.Key = text
		case "VersionId":
			item.VersionID = text
		case "ETag":
			item.If.IfMatch = TrimETag(text)
			if item.If.IfMatch == "" {
				return malformed("empty ETag")
			}
		case "Size":
			n, err := strconv.ParseUint(text, 10, 63)
			if err != nil {
				return malformed("Size %s", text)
			}
			size := int64(n)
			item.IfSize = &size
		case "LastModifiedTime":
			t, err := parseTime(text)
			if err != nil {
				return malformed("LastModifiedTime %s", text)
			}
			item.IfModified = &t
		default:
			return malformed("element %s", name)
		}
		return nil
	})
	if err == nil && item.Key == "" {
		err = malformed("object without key")
	}
	return item, err
}

// parseTime reads a time as XML and HTTP write it.
func parseTime(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t, err = time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", text)
	}
	return t, err
}

// TrimETag takes the quotes off an ETag.
func TrimETag(text string) string {
	if len(text) >= 2 && text[0] == '"' && text[len(text)-1] == '"' {
		return text[1 : len(text)-1]
	}
	return text
}

func (p *parser) boolean(name string) (bool, error) {
	text, err := p.text()
	if err != nil {
		return false, err
	}
	switch text {
	case "true", "True", "TRUE":
		return true, nil
	case "false", "False", "FALSE":
		return false, nil
	}
	return false, malformed("%s %s", name, text)
}

// ParseComplete reads the document of CompleteMultipartUpload. Parts are in the order
// of the document. ErrMalformed for what the document cannot be, no parts among them.
func ParseComplete(text []byte) ([]api.CompletedPart, error) {
	p, err := newParser(text, api.MaxPartNumber*4+16)
	if err != nil {
		return nil, err
	}
	var parts []api.CompletedPart
	err = p.document("CompleteMultipartUpload", func(name string) error {
		if name != "Part" {
			return malformed("element %s", name)
		}
		if len(parts) == api.MaxPartNumber {
			return malformed("more than %d parts", api.MaxPartNumber)
		}
		part, err := p.completedPart()
		parts = append(parts, part)
		return err
	})
	if err == nil && len(parts) == 0 {
		err = malformed("no parts")
	}
	if err != nil {
		return nil, err
	}
	return parts, nil
}

// completedPart reads one Part element.
func (p *parser) completedPart() (api.CompletedPart, error) {
	var part api.CompletedPart
	var number, etag bool
	err := p.children(func(name string) error {
		text, err := p.text()
		if err != nil {
			return err
		}
		switch {
		case name == "PartNumber" && !number:
			number = true
			n, err := strconv.ParseUint(text, 10, 31)
			if err != nil {
				return malformed("PartNumber %s", text)
			}
			part.Number = int(n)
			return nil
		case name == "ETag" && !etag:
			etag = true
			part.ETag = TrimETag(text)
			return nil
		}
		return takeChecksum(&part, name, text)
	})
	if err == nil && (!number || !etag || part.ETag == "") {
		err = malformed("part without number or ETag")
	}
	return part, err
}

// unbuiltChecksums are the checksum elements that S3 has and this store has not.
var unbuiltChecksums = map[string]bool{
	"ChecksumMD5": true, "ChecksumSHA512": true, "ChecksumXXHASH3": true, "ChecksumXXHASH64": true,
	"ChecksumXXHASH128": true,
}

// takeChecksum reads the element of a checksum into part. A part has one at most.
func takeChecksum(part *api.CompletedPart, name, text string) error {
	if unbuiltChecksums[name] {
		return &UnsupportedError{Element: name}
	}
	a, ok := checksumElement(name)
	if !ok || part.Checksum.Algorithm != 0 {
		return malformed("element %s", name)
	}
	if _, err := a.ParseBase64(text); err != nil {
		return malformed("%s %s", name, text)
	}
	part.Checksum = api.Checksum{Algorithm: a, Value: text}
	return nil
}

// ParseCreateBucket reads the document of CreateBucket and gives its
// LocationConstraint, "" when it has none. ErrMalformed for what the document cannot
// be, *UnsupportedError for elements that ask for directory buckets or tags.
func ParseCreateBucket(text []byte) (string, error) {
	p, err := newParser(text, 64)
	if err != nil {
		return "", err
	}
	var location string
	once := seen{}
	err = p.document("CreateBucketConfiguration", func(name string) error {
		if err := once.again(name); err != nil {
			return err
		}
		switch name {
		case "LocationConstraint":
			location, err = p.text()
			return err
		case "Location", "Bucket", "Tags":
			return &UnsupportedError{Element: name}
		}
		return malformed("element %s", name)
	})
	return location, err
}
