package s3xml

import (
	"shoal/acl"
	"shoal/chunker/checksum"
	"shoal/node/api"
)

// ListV1 is the answer of ListObjects.
type ListV1 struct {
	Bucket, Prefix, Delimiter, Marker string
	MaxKeys                           int
	URL                               bool   // encoding-type=url
	NextMarker                        string // only with a delimiter, as AWS
	Owner                             string
	Page                              *api.ListPage
}

// ListV2 is the answer of ListObjectsV2.
type ListV2 struct {
	Bucket, Prefix, Delimiter, StartAfter string
	MaxKeys                               int
	URL                                   bool // encoding-type=url
	Token, NextToken                      string
	Owner                                 string // "" unless fetch-owner was asked for
	Page                                  *api.ListPage
}

// AppendListV1 appends the document of ListObjects
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html).
func AppendListV1(b []byte, l *ListV1) []byte {
	const root = "ListBucketResult"
	b = begin(b, root)
	b = element(b, "Name", l.Bucket)
	b = keyElement(b, "Prefix", l.Prefix, l.URL)
	b = keyElement(b, "Marker", l.Marker, l.URL)
	if l.NextMarker != "" {
		b = keyElement(b, "NextMarker", l.NextMarker, l.URL)
	}
	b = number(b, "MaxKeys", int64(l.MaxKeys))
	b = listTail(b, l.Delimiter, l.URL, l.Page, l.Owner)
	return end(b, root)
}

// AppendListV2 appends the document of ListObjectsV2
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html).
func AppendListV2(b []byte, l *ListV2) []byte {
	const root = "ListBucketResult"
	b = begin(b, root)
	b = element(b, "Name", l.Bucket)
	b = keyElement(b, "Prefix", l.Prefix, l.URL)
	if l.StartAfter != "" {
		b = keyElement(b, "StartAfter", l.StartAfter, l.URL)
	}
	b = some(b, "ContinuationToken", l.Token)
	b = some(b, "NextContinuationToken", l.NextToken)
	b = number(b, "KeyCount", int64(len(l.Page.Objects)+len(l.Page.CommonPrefixes)))
	b = number(b, "MaxKeys", int64(l.MaxKeys))
	b = listTail(b, l.Delimiter, l.URL, l.Page, l.Owner)
	return end(b, root)
}

// listTail appends what both listings end with.
func listTail(b []byte, delimiter string, url bool, page *api.ListPage, owner string) []byte {
	if delimiter != "" {
		b = keyElement(b, "Delimiter", delimiter, url)
	}
	if url {
		b = element(b, "EncodingType", "url")
	}
	b = boolean(b, "IsTruncated", page.Truncated)
	var ownerXML []byte
	if owner != "" {
		ownerXML = appendOwner(nil, owner)
	}
	for i := range page.Objects {
		b = appendListed(b, &page.Objects[i], url, ownerXML)
	}
	for _, prefix := range page.CommonPrefixes {
		b = append(b, "<CommonPrefixes>"...)
		b = keyElement(b, "Prefix", prefix, url)
		b = append(b, "</CommonPrefixes>"...)
	}
	return b
}

// appendListed appends one Contents element.
func appendListed(b []byte, o *api.ListedObject, url bool, owner []byte) []byte {
	b = append(b, "<Contents><Key>"...)
	b = appendKey(b, o.Key, url)
	b = append(b, "</Key><LastModified>"...)
	b = appendTime(b, o.LastModified)
	b = append(b, "</LastModified><ETag>&quot;"...)
	b = appendText(b, o.ETag)
	b = append(b, "&quot;</ETag>"...)
	if o.Checksum != 0 {
		b = appendAlgorithm(b, o.Checksum, o.Type)
	}
	b = append(b, "<Size>"...)
	b = appendInt(b, o.Size)
	b = append(b, "</Size>"...)
	b = append(b, owner...)
	b = append(append(b, "<StorageClass>"...), o.Class.String()...)
	return append(b, "</StorageClass></Contents>"...)
}

// appendAlgorithm appends the algorithm and the type of a checksum.
func appendAlgorithm(b []byte, a checksum.Set, t api.ChecksumType) []byte {
	b = append(append(b, "<ChecksumAlgorithm>"...), a.Name()...)
	b = append(append(b, "</ChecksumAlgorithm><ChecksumType>"...), TypeName(t)...)
	return append(b, "</ChecksumType>"...)
}

// TypeName is a checksum type as S3 writes it.
func TypeName(t api.ChecksumType) string {
	if t == api.Composite {
		return "COMPOSITE"
	}
	return "FULL_OBJECT"
}

// appendOwner appends an owner by the canonical ID of a principal. DisplayName is not sent: S3 stopped sending it.
func appendOwner(b []byte, principal string) []byte {
	return append(element(append(b, "<Owner>"...), "ID", acl.CanonicalID(principal)), "</Owner>"...)
}
