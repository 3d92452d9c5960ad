//! The size limits of replies.

/// The largest reply. Lambda rejects replies above 6,291,556 bytes; 4,096 bytes are reserved for the envelope of an
/// HTTP body.
pub(crate) const MAX_REPLY_BYTES: usize = 6_291_556 - 4_096;

/// The bytes of a reply that are reserved for the envelopes of command results and for errors.
pub(crate) const ROOM_FOR_THE_REST: usize = 64 << 10;
