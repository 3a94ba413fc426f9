package s3xml

import (
	"time"

	"shoal/node/api"
)

// Copied is the answer of CopyObject and of UploadPartCopy.
type Copied struct {
	LastModified time.Time
	ETag         string // no quotes
	Checksum     api.Checksum
}

// AppendCopyObject appends the document of CopyObject
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html).
func AppendCopyObject(b []byte, c *Copied) []byte {
	return appendCopied(b, "CopyObjectResult", c, true)
}

// AppendCopyPart appends the document of UploadPartCopy
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html).
func AppendCopyPart(b []byte, c *Copied) []byte { return appendCopied(b, "CopyPartResult", c, false) }

func appendCopied(b []byte, root string, c *Copied, withType bool) []byte {
	b = begin(b, root)
	b = instant(b, "LastModified", c.LastModified)
	b = quoted(b, "ETag", c.ETag)
	b = appendChecksum(b, c.Checksum, withType)
	return end(b, root)
}

// appendChecksum appends the element named for the algorithm, and the type.
func appendChecksum(b []byte, c api.Checksum, withType bool) []byte {
	if c.Algorithm == 0 || c.Value == "" {
		return b
	}
	b = element(b, "Checksum"+c.Algorithm.Name(), c.Value)
	if withType {
		b = element(b, "ChecksumType", TypeName(c.Type))
	}
	return b
}

// DeletedKey is the outcome of one deletion of DeleteObjects.
type DeletedKey struct {
	Key, VersionID string
	// Marker says that a delete marker was put or removed; MarkerVersion is its version.
	Marker        bool
	MarkerVersion string
	// Code and Message are set when the deletion failed.
	Code, Message string
}

// AppendDeleteResult appends the document of DeleteObjects. With quiet only failures
// are shown (https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html).
func AppendDeleteResult(b []byte, keys []DeletedKey, quiet bool) []byte {
	const root = "DeleteResult"
	b = begin(b, root)
	for i := range keys {
		k := &keys[i]
		switch {
		case k.Code != "":
			b = open(b, "Error")
			b = element(b, "Key", k.Key)
			b = some(b, "VersionId", k.VersionID)
			b = element(b, "Code", k.Code)
			b = element(b, "Message", k.Message)
			b = shut(b, "Error")
		case !quiet:
			b = open(b, "Deleted")
			b = element(b, "Key", k.Key)
			b = some(b, "VersionId", k.VersionID)
			if k.Marker {
				b = boolean(b, "DeleteMarker", true)
				b = some(b, "DeleteMarkerVersionId", k.MarkerVersion)
			}
			b = shut(b, "Deleted")
		}
	}
	return end(b, root)
}

// Attributes is the answer of GetObjectAttributes: what is nil or empty was not asked for.
type Attributes struct {
	ETag         string // no quotes, as AWS
	Checksum     *api.Checksum
	Parts        *AttributeParts
	StorageClass string
	Size         *int64
}

// AttributeParts is a page of an object's parts.
type AttributeParts struct {
	Total             int
	Marker, Next, Max int
	Truncated         bool
	// Parts is shown only for objects whose parts carry checksums, as AWS.
	Parts []api.PartInfo
}

// AppendAttributes appends the document of GetObjectAttributes
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAttributes.html).
func AppendAttributes(b []byte, a *Attributes) []byte {
	const root = "GetObjectAttributesResponse"
	b = begin(b, root)
	b = some(b, "ETag", a.ETag)
	if a.Checksum != nil && a.Checksum.Value != "" {
		b = open(b, "Checksum")
		b = appendChecksum(b, *a.Checksum, true)
		b = shut(b, "Checksum")
	}
	if a.Parts != nil {
		b = appendParts(b, a.Parts)
	}
	b = some(b, "StorageClass", a.StorageClass)
	if a.Size != nil {
		b = number(b, "ObjectSize", *a.Size)
	}
	return end(b, root)
}

func appendParts(b []byte, p *AttributeParts) []byte {
	b = open(b, "ObjectParts")
	b = number(b, "PartsCount", int64(p.Total))
	b = number(b, "PartNumberMarker", int64(p.Marker))
	b = number(b, "NextPartNumberMarker", int64(p.Next))
	b = number(b, "MaxParts", int64(p.Max))
	b = boolean(b, "IsTruncated", p.Truncated)
	for i := range p.Parts {
		part := &p.Parts[i]
		b = open(b, "Part")
		b = number(b, "PartNumber", int64(part.Number))
		b = number(b, "Size", part.Size)
		b = appendChecksum(b, part.Checksum, false)
		b = shut(b, "Part")
	}
	return shut(b, "ObjectParts")
}
