package api

import (
	"context"
	"io"
	"time"

	"shoal/chunker/checksum"
)

// Limits of multipart uploads
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html).
const (
	MaxObjectSize  = 5 << 40 // bytes
	MaxPutSize     = 5 << 30 // bytes, of one PUT or part
	MinPartSize    = 5 << 20 // bytes, save for the last part
	MaxPartNumber  = 10000
	MaxKeyLength   = 1024 // bytes of UTF-8
	MaxListObjects = 1000
)

// Uploads is the multipart family.
type Uploads interface {
	// CreateUpload begins an upload and gives its ID. NoSuchBucket.
	CreateUpload(ctx context.Context, req *CreateUpload) (string, error)
	// PutPart stores a part, replacing an earlier one of its number. Errors as
	// Objects.Put, and NoSuchUpload, and errors of Metadata.OpensWith.
	PutPart(ctx context.Context, req *PutPart) (PartInfo, error)
	// CopyPart makes a part from a range of an existing object without moving bytes.
	CopyPart(ctx context.Context, req *CopyPart) (PartInfo, error)
	// HeadUpload describes an upload. NoSuchUpload.
	HeadUpload(ctx context.Context, ref UploadRef) (*UploadInfo, error)
	// ListParts lists an upload's parts by number. NoSuchUpload.
	ListParts(ctx context.Context, req *ListParts) (*PartPage, error)
	// ListUploads lists a bucket's uploads by key, then by the time they were begun.
	ListUploads(ctx context.Context, req *ListUploads) (*UploadPage, error)
	// CompleteUpload makes the object from the parts named. Called again with the same
	// upload while its version is current, it gives the same answer. NoSuchUpload,
	// InvalidPart, InvalidPartOrder, EntityTooSmall, BadDigest, errors of Condition.
	CompleteUpload(ctx context.Context, req *CompleteUpload) (Written, error)
	// AbortUpload ends an upload and frees its parts. NoSuchUpload.
	AbortUpload(ctx context.Context, ref UploadRef) error
}

// UploadRef names an upload.
type UploadRef struct {
	Bucket, Key, UploadID string
}

// CreateUpload begins a multipart upload.
type CreateUpload struct {
	Bucket, Key string
	Metadata    Metadata
	Checksum    checksum.Set // algorithm that parts carry and the object keeps; 0 for none
	Type        ChecksumType
	Initiator   string // principal ID
	Tags        []Tag  // of the version to be
	ACL         []byte // of the version to be, as in PutObject
	Lock        Lock   // of the version to be
	// CustomerKey as in PutObject. Each part must bring it again.
	CustomerKey *CustomerKey
	Class       StorageClass // of the version to be, and so of its parts
}

// UploadInfo describes an upload.
type UploadInfo struct {
	Key, UploadID string
	Initiated     time.Time
	Initiator     string
	Checksum      checksum.Set
	Type          ChecksumType
	KeyCheck      []byte // as in Metadata
	Class         StorageClass
}

// PutPart is one part to store. Fields as PutObject.
type PutPart struct {
	UploadRef
	Number  int // 1 to 10,000
	Size    int64
	Body    io.Reader
	Digests checksum.Set
	// Verify as in PutObject.
	Verify func(checksum.Sums) error
	// CustomerKey is that of the upload.
	CustomerKey *CustomerKey
}

// CopyPart makes a part from a range of Source.
type CopyPart struct {
	UploadRef
	Number int
	Source ObjectRef
	Check  func(*ObjectInfo) error
	// Ranged says that only the bytes Off to Off+Length of Source are meant.
	Ranged      bool
	Off, Length int64
	// CustomerKey is that of the upload.
	CustomerKey *CustomerKey
}

// PartInfo describes a part.
type PartInfo struct {
	Number       int
	Size         int64
	ETag         string
	LastModified time.Time
	Checksum     Checksum // of the upload's algorithm, or none
}

// ListParts asks for one page of parts.
type ListParts struct {
	UploadRef
	After int // part number, exclusive
	Max   int // 0 to 1,000
}

// PartPage is one page of parts, with what the upload said of itself.
type PartPage struct {
	Upload    UploadInfo
	Parts     []PartInfo
	Truncated bool
	Next      int
}

// ListUploads asks for one page of uploads.
type ListUploads struct {
	Bucket      string
	Prefix      string
	Delimiter   string
	AfterKey    string
	AfterUpload string // with AfterKey: uploads of that key after this one, and later keys
	Max         int    // 0 to 1,000
}

// UploadPage is one page of uploads.
type UploadPage struct {
	Uploads        []UploadInfo
	CommonPrefixes []string
	Truncated      bool
	NextKey        string
	NextUpload     string
}

// CompletedPart names a part at completion, as the client saw it.
type CompletedPart struct {
	Number   int
	ETag     string
	Checksum Checksum // optional: Value "" when the client sent none
}

// CompleteUpload makes an object from parts.
type CompleteUpload struct {
	UploadRef
	Parts []CompletedPart
	// Checksum is the full-object checksum that the client expects; Value "" is none.
	Checksum Checksum
	// TypeGiven says that the client named a checksum type, which must then be that of the upload.
	TypeGiven bool
	// Size is the object size that the client expects (x-amz-mp-object-size), or -1.
	Size int64
	If   Condition
}
