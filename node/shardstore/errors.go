package shardstore

import "errors"

var (
	// ErrNotFound: the store holds no such shard.
	ErrNotFound = errors.New("shard not found")
	// ErrCorrupt: the shard is held, but its bytes are not what its hashes say, or cannot be read.
	ErrCorrupt = errors.New("shard is corrupt")
	// ErrInvalid: the request contradicts itself or a limit. Nothing was written.
	ErrInvalid = errors.New("invalid shard")
	// ErrMismatch: the payload or the shape of the stripe is not what the hashes or the stored shard say.
	ErrMismatch = errors.New("shard does not match its hash")
	// ErrTooManyOwners: the shard has OwnersMax owners.
	ErrTooManyOwners = errors.New("shard has too many owners")

	// ErrFull: the drive has no room for payloads. Drops and reads still work.
	ErrFull = errors.New("drive is full")
	// ErrReadOnly: the drive takes no writes. Reads still work.
	ErrReadOnly = errors.New("drive is read-only")
	// ErrFailed: the drive failed to make writes durable and is not written again by this process.
	ErrFailed = errors.New("drive has failed")
	// ErrMissingDrive: the directory holds no drive: it is not mounted, or was never formatted.
	ErrMissingDrive = errors.New("no drive here")
	// ErrForeignDrive: the directory holds a drive of another cluster, another drive, or damage.
	ErrForeignDrive = errors.New("drive belongs elsewhere")
	// ErrDriveLocked: another process has the drive open.
	ErrDriveLocked = errors.New("drive is in use by another process")
	// ErrRebuilding: the index is being rebuilt from the segments; try again later or elsewhere.
	ErrRebuilding = errors.New("drive index is being rebuilt")
	// ErrClosed: the store is closed or its writer has ended.
	ErrClosed = errors.New("shard store is closed")

	// errIndexDamaged: the index cannot be trusted. It never leaves the package; it starts a rebuild.
	errIndexDamaged = errors.New("drive index is damaged")
)
