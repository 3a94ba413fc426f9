package s3err

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"shoal/node/api"
)

// kinds is the only table from what went wrong in the store to what a client is told.
var kinds = [...]Code{
	api.Internal:            InternalError,
	api.InvalidArgument:     InvalidArgument,
	api.NoSuchBucket:        NoSuchBucket,
	api.NoSuchKey:           NoSuchKey,
	api.NoSuchVersion:       NoSuchVersion,
	api.NoSuchUpload:        NoSuchUpload,
	api.BucketExists:        BucketAlreadyExists,
	api.BucketOwned:         BucketAlreadyOwnedByYou,
	api.BucketNotEmpty:      BucketNotEmpty,
	api.OperationAborted:    OperationAborted,
	api.PreconditionFailed:  PreconditionFailed,
	api.ConditionalConflict: ConditionalRequestConflict,
	api.InvalidPart:         InvalidPart,
	api.InvalidPartOrder:    InvalidPartOrder,
	api.EntityTooSmall:      EntityTooSmall,
	api.EntityTooLarge:      EntityTooLarge,
	api.IncompleteBody:      IncompleteBody,
	api.BadDigest:           BadDigest,
	api.DeleteMarker:        NoSuchKey,
	api.AccessDenied:        AccessDenied,
	api.NoSuchCredential:    InvalidAccessKeyId,
	api.SlowDown:            SlowDown,
	api.Unavailable:         ServiceUnavailable,
	api.StorageFull:         InsufficientStorage,
	api.Corrupt:             InternalError,
	api.OutcomeUnknown:      InternalError,
	api.NotImplemented:      NotImplemented,
	api.Canceled:            RequestTimeout,
	api.TooManyBuckets:      TooManyBuckets,
	api.UploadExpired:       RequestTimeout,
	api.NoSuchSite:          InvalidLocationConstraint,
	api.InvalidBucketState:  InvalidBucketState,
	api.NoObjectLock:        InvalidRequest,
	api.NoSuchIdentity:      NoSuchEntity,
	api.IdentityExists:      EntityAlreadyExists,
	api.IdentityInUse:       DeleteConflict,
	api.CustomerKeyMissing:  InvalidRequest,
	api.CustomerKeyWrong:    AccessDenied,
	api.CustomerKeyUnused:   InvalidRequest,
	api.QuotaExceeded:       QuotaExceeded,
	api.ReadOnly:            ReadOnly,
}

// retryAfter is how long a client of a busy store should wait, heldRetryAfter one of a store that an operator has
// made read-only.
const (
	retryAfter     = time.Second
	heldRetryAfter = 30 * time.Second
)

// From gives the S3 error of any error. An *Error is returned as it is; nil gives nil.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	var store *api.Error
	if errors.As(err, &store) {
		return fromStore(store, err)
	}
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		return New(MaxMessageLengthExceeded).Wrap(err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return New(IncompleteBody).Wrap(err)
	case errors.Is(err, os.ErrDeadlineExceeded),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return New(RequestTimeout).Wrap(err)
	default:
		return New(InternalError).Wrap(err)
	}
}

// fromStore translates an error of the store. err is the whole chain, for the log.
func fromStore(store *api.Error, err error) *Error {
	code := InternalError // a kind of a later release
	if int(store.Kind) < len(kinds) {
		code = kinds[store.Kind]
	}
	e := New(code).Wrap(err)
	if store.Detail != "" && code != InternalError {
		e.Message = store.Detail
	}
	switch store.Kind {
	case api.NoSuchBucket, api.BucketExists, api.BucketOwned, api.BucketNotEmpty:
		e.withSome("BucketName", store.Bucket)
	case api.NoSuchKey, api.DeleteMarker:
		e.withSome("Key", store.Key)
	case api.NoSuchVersion:
		e.withSome("Key", store.Key)
		e.withSome("VersionId", store.Version)
	case api.NoSuchCredential:
		e.Message = rows[InvalidAccessKeyId].message // never says which keys exist
	case api.NoObjectLock:
		e.Message = "Bucket is missing Object Lock Configuration"
	case api.CustomerKeyMissing:
		e.Message = "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object."
	case api.CustomerKeyUnused:
		e.Message = "The encryption parameters are not applicable to this object."
	case api.SlowDown, api.Unavailable:
		e.RetryAfter = retryAfter
	case api.ReadOnly:
		e.RetryAfter = heldRetryAfter
	}
	return e
}

func (e *Error) withSome(name, value string) {
	if value != "" {
		e.Fields = append(e.Fields, Field{Name: name, Value: value})
	}
}
