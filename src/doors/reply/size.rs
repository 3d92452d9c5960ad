//! How large a reply can be.

/// Lambda refuses replies above 6,291,556 bytes; a few are left for what goes around an HTTP body.
pub(crate) const MAX_REPLY_BYTES: usize = 6_291_556 - 4_096;

/// What is kept of a reply's bytes for all but the results of commands: what goes around each, and errors.
pub(crate) const ROOM_FOR_THE_REST: usize = 64 << 10;
