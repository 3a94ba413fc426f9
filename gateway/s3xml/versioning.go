package s3xml

import "shoal/node/api"

// MaxVersioning bounds the document of PutBucketVersioning in bytes.
const MaxVersioning = 16 << 10

// Versioning is the request of PutBucketVersioning. Fields that were not sent are empty.
type Versioning struct {
	Status    string // "Enabled" or "Suspended"
	MFADelete string // "Enabled" or "Disabled"
}

// ParseVersioning reads the document of PutBucketVersioning. ErrMalformed for what the document cannot be.
func ParseVersioning(text []byte) (Versioning, error) {
	var v Versioning
	p, err := newParser(text, 16)
	if err != nil {
		return v, err
	}
	once := seen{}
	err = p.document("VersioningConfiguration", func(name string) error {
		if err := once.again(name); err != nil {
			return err
		}
		text, err := p.text()
		switch {
		case err != nil:
			return err
		case name == "Status" && (text == "Enabled" || text == "Suspended"):
			v.Status = text
		case (name == "MfaDelete" || name == "MFADelete") && (text == "Enabled" || text == "Disabled"):
			v.MFADelete = text
		default:
			return malformed("%s %s", name, text)
		}
		return nil
	})
	return v, err
}

// AppendVersioning appends the document of GetBucketVersioning; it is empty while versioning was never set
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketVersioning.html).
func AppendVersioning(b []byte, state api.VersioningState) []byte {
	const root = "VersioningConfiguration"
	b = begin(b, root)
	switch state {
	case api.VersioningEnabled:
		b = element(b, "Status", "Enabled")
	case api.VersioningSuspended:
		b = element(b, "Status", "Suspended")
	}
	return end(b, root)
}

// ListVersions is the answer of ListObjectVersions.
type ListVersions struct {
	Bucket, Prefix, Delimiter  string
	KeyMarker, VersionIDMarker string
	MaxKeys                    int
	URL                        bool // encoding-type=url
	Owner                      string
	Page                       *api.VersionPage
}

// AppendListVersions appends the document of ListObjectVersions
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html).
func AppendListVersions(b []byte, l *ListVersions) []byte {
	const root = "ListVersionsResult"
	b = begin(b, root)
	b = element(b, "Name", l.Bucket)
	b = keyElement(b, "Prefix", l.Prefix, l.URL)
	b = keyElement(b, "KeyMarker", l.KeyMarker, l.URL)
	b = element(b, "VersionIdMarker", l.VersionIDMarker)
	if l.Page.Truncated {
		b = keyElement(b, "NextKeyMarker", l.Page.NextKey, l.URL)
		b = some(b, "NextVersionIdMarker", l.Page.NextVersion)
	}
	b = number(b, "MaxKeys", int64(l.MaxKeys))
	if l.Delimiter != "" {
		b = keyElement(b, "Delimiter", l.Delimiter, l.URL)
	}
	if l.URL {
		b = element(b, "EncodingType", "url")
	}
	b = boolean(b, "IsTruncated", l.Page.Truncated)
	owner := appendOwner(nil, l.Owner)
	for i := range l.Page.Versions {
		b = appendVersion(b, &l.Page.Versions[i], l.URL, owner)
	}
	for _, prefix := range l.Page.CommonPrefixes {
		b = open(b, "CommonPrefixes")
		b = keyElement(b, "Prefix", prefix, l.URL)
		b = shut(b, "CommonPrefixes")
	}
	return end(b, root)
}

// appendVersion appends one Version or DeleteMarker element.
func appendVersion(b []byte, v *api.ListedVersion, url bool, owner []byte) []byte {
	kind := "Version"
	if v.DeleteMarker {
		kind = "DeleteMarker"
	}
	b = open(b, kind)
	b = keyElement(b, "Key", v.Key, url)
	b = element(b, "VersionId", v.VersionID)
	b = boolean(b, "IsLatest", v.Latest)
	b = instant(b, "LastModified", v.LastModified)
	if !v.DeleteMarker {
		b = quoted(b, "ETag", v.ETag)
		if v.Checksum != 0 {
			b = appendAlgorithm(b, v.Checksum, v.Type)
		}
		b = number(b, "Size", v.Size)
		b = element(b, "StorageClass", v.Class.String())
	}
	return shut(append(b, owner...), kind)
}
