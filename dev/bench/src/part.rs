//! The parts of the benchmark.

/// One part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A command over an open connection.
    WarmCommand,
    /// The first command after a cold start.
    ColdFirstCommand,
    /// A command after a freeze during which the home closed the connection.
    AfterFreezeCommand,
    /// Alexa directives: warm, cold and after a freeze.
    AlexaDirective,
    /// Service calls over REST: warm, cold and after a freeze.
    RestWrite,
    /// Reads of a state over REST: warm, cold and after a freeze.
    RestRead,
    /// Concurrent commands of 64 callers.
    Concurrent64,
    /// Memory after many commands.
    Memory,
    /// The size of the executable and its start time.
    Artifact,
    /// A read of the cached token.
    CacheHit,
    /// Commands over the HTTP API.
    Door,
    /// Calls to AWS and logins to the home, besides commands.
    Upkeep,
}

impl Part {
    /// All parts, in order.
    pub(crate) const ALL: [Self; 12] = [
        Self::WarmCommand,
        Self::ColdFirstCommand,
        Self::AfterFreezeCommand,
        Self::AlexaDirective,
        Self::RestWrite,
        Self::RestRead,
        Self::Concurrent64,
        Self::Memory,
        Self::Artifact,
        Self::CacheHit,
        Self::Door,
        Self::Upkeep,
    ];

    /// Returns the part with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name)
    }

    /// Returns the name in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::WarmCommand => "warm_command",
            Self::ColdFirstCommand => "cold_first_command",
            Self::AfterFreezeCommand => "after_freeze_command",
            Self::AlexaDirective => "alexa_directive",
            Self::RestWrite => "rest_write",
            Self::RestRead => "rest_read",
            Self::Concurrent64 => "concurrent_64",
            Self::Memory => "memory",
            Self::Artifact => "artifact",
            Self::CacheHit => "cache_hit",
            Self::Door => "door",
            Self::Upkeep => "upkeep",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Part;

    #[test]
    fn part_is_found_by_its_name() {
        for part in Part::ALL {
            assert_eq!(Part::named(part.name()), Some(part));
        }
        assert_eq!(Part::named("warm"), None);
    }
}
