package s3xml

import (
	"shoal/acl"
	"shoal/chunker/checksum"
	"shoal/node/api"
)

// AppendInitiate appends the document of CreateMultipartUpload
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html).
func AppendInitiate(b []byte, bucket, key, uploadID string) []byte {
	const root = "InitiateMultipartUploadResult"
	b = begin(b, root)
	b = element(b, "Bucket", bucket)
	b = element(b, "Key", key)
	b = element(b, "UploadId", uploadID)
	return end(b, root)
}

// Completed is the answer of CompleteMultipartUpload.
type Completed struct {
	Location, Bucket, Key string
	ETag                  string // no quotes
	Checksum              api.Checksum
}

// AppendComplete appends the document of CompleteMultipartUpload
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html).
func AppendComplete(b []byte, c *Completed) []byte {
	const root = "CompleteMultipartUploadResult"
	b = begin(b, root)
	b = element(b, "Location", c.Location)
	b = element(b, "Bucket", c.Bucket)
	b = element(b, "Key", c.Key)
	b = quoted(b, "ETag", c.ETag)
	b = appendChecksum(b, c.Checksum, true)
	return end(b, root)
}

// ListParts is the answer of ListParts.
type ListParts struct {
	Bucket, Key string
	Owner       string
	Marker      int
	MaxParts    int
	URL         bool // encoding-type=url
	Page        *api.PartPage
}

// AppendListParts appends the document of ListParts
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html).
func AppendListParts(b []byte, l *ListParts) []byte {
	const root = "ListPartsResult"
	up := &l.Page.Upload
	b = begin(b, root)
	b = element(b, "Bucket", l.Bucket)
	b = keyElement(b, "Key", l.Key, l.URL)
	b = element(b, "UploadId", up.UploadID)
	b = appendInitiator(b, up.Initiator)
	b = appendOwner(b, l.Owner)
	b = element(b, "StorageClass", up.Class.String())
	b = number(b, "PartNumberMarker", int64(l.Marker))
	b = number(b, "NextPartNumberMarker", int64(l.Page.Next))
	b = number(b, "MaxParts", int64(l.MaxParts))
	if l.URL {
		b = element(b, "EncodingType", "url")
	}
	b = boolean(b, "IsTruncated", l.Page.Truncated)
	if up.Checksum != 0 {
		b = appendAlgorithm(b, up.Checksum, up.Type)
	}
	for i := range l.Page.Parts {
		part := &l.Page.Parts[i]
		b = open(b, "Part")
		b = number(b, "PartNumber", int64(part.Number))
		b = instant(b, "LastModified", part.LastModified)
		b = quoted(b, "ETag", part.ETag)
		b = number(b, "Size", part.Size)
		b = appendChecksum(b, part.Checksum, false)
		b = shut(b, "Part")
	}
	return end(b, root)
}

func appendInitiator(b []byte, principal string) []byte {
	return shut(element(open(b, "Initiator"), "ID", acl.CanonicalID(principal)), "Initiator")
}

// ListUploads is the answer of ListMultipartUploads.
type ListUploads struct {
	Bucket, Prefix, Delimiter string
	KeyMarker, UploadIDMarker string
	MaxUploads                int
	URL                       bool // encoding-type=url
	Owner                     string
	Page                      *api.UploadPage
}

// AppendListUploads appends the document of ListMultipartUploads
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html).
func AppendListUploads(b []byte, l *ListUploads) []byte {
	const root = "ListMultipartUploadsResult"
	b = begin(b, root)
	b = element(b, "Bucket", l.Bucket)
	b = keyElement(b, "KeyMarker", l.KeyMarker, l.URL)
	b = element(b, "UploadIdMarker", l.UploadIDMarker)
	b = keyElement(b, "NextKeyMarker", l.Page.NextKey, l.URL)
	b = element(b, "NextUploadIdMarker", l.Page.NextUpload)
	if l.Delimiter != "" {
		b = keyElement(b, "Delimiter", l.Delimiter, l.URL)
	}
	b = keyElement(b, "Prefix", l.Prefix, l.URL)
	b = number(b, "MaxUploads", int64(l.MaxUploads))
	if l.URL {
		b = element(b, "EncodingType", "url")
	}
	b = boolean(b, "IsTruncated", l.Page.Truncated)
	for i := range l.Page.Uploads {
		up := &l.Page.Uploads[i]
		b = open(b, "Upload")
		b = keyElement(b, "Key", up.Key, l.URL)
		b = element(b, "UploadId", up.UploadID)
		b = appendInitiator(b, up.Initiator)
		b = appendOwner(b, l.Owner)
		b = element(b, "StorageClass", up.Class.String())
		b = instant(b, "Initiated", up.Initiated)
		if up.Checksum != 0 {
			b = appendAlgorithm(b, up.Checksum, up.Type)
		}
		b = shut(b, "Upload")
	}
	for _, prefix := range l.Page.CommonPrefixes {
		b = open(b, "CommonPrefixes")
		b = keyElement(b, "Prefix", prefix, l.URL)
		b = shut(b, "CommonPrefixes")
	}
	return end(b, root)
}

// checksumElement gives the algorithm that an element like ChecksumCRC32 carries.
func checksumElement(name string) (checksum.Set, bool) {
	const prefix = "Checksum"
	if len(name) <= len(prefix) || name[:len(prefix)] != prefix {
		return 0, false
	}
	a, ok := checksum.ParseName(name[len(prefix):])
	if !ok || a.Name() != name[len(prefix):] {
		return 0, false
	}
	return a, true
}
