//! Tests of the registry of connections, over a table that execution environments share and over the memory of one
//! environment.

mod behaviour;
mod rows;
mod table;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use latchkey::base::clock::{Clock as _, ManualClock};
use latchkey::base::random::Random;
use latchkey::base::table::Table;
use latchkey::service::connections::{
    Address, Connection, ConnectionId, MemoryRegistry, Registry, SharedRegistry,
};
use latchkey_dev::stack::AwsEmulator;

const TABLE: &str = "latchkey";

/// A registry, its clock and its table.
struct Scene {
    registry: Arc<dyn Registry>,
    clock: Arc<ManualClock>,
    /// `None` if the registry is in memory.
    aws: Option<AwsEmulator>,
}

impl Scene {
    fn memory() -> Self {
        Self {
            registry: Arc::new(MemoryRegistry::default()),
            clock: Arc::new(ManualClock::at(NOW)),
            aws: None,
        }
    }

    async fn shared() -> Self {
        let aws = AwsEmulator::start().await.unwrap();
        aws.create_table(TABLE).await.unwrap();
        let clock = Arc::new(ManualClock::at(NOW));
        let table = Table::new(Client::new(aws.sdk_config()), TABLE.into());
        let random = Random::seeded(fastrand::u64(..));
        Self {
            registry: Arc::new(SharedRegistry::new(table, clock.clone(), random)),
            clock,
            aws: Some(aws),
        }
    }

    fn aws(&self) -> &AwsEmulator {
        self.aws.as_ref().unwrap()
    }

    /// Advances the clock. The registry in memory learns the time from the search for overdue connections.
    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        let now = self.clock.now().unix;
        self.registry.overdue(now, 0).await.unwrap();
    }

    async fn find(&self, id: &str) -> Option<Connection> {
        self.registry.find(&ConnectionId(id.into())).await.unwrap()
    }

    /// Asserts that the registry and its table are empty.
    async fn assert_empty(&self) {
        let statistics = self.registry.statistics().await.unwrap();
        assert_eq!(statistics.connections, 0);
        if let Some(aws) = &self.aws {
            let items = aws.items(TABLE).await.unwrap();
            assert!(items.is_empty(), "{items:#?}");
        }
    }
}

const NOW: Duration = Duration::from_secs(1_750_000_000);
const MINUTE: Duration = Duration::from_secs(60);
/// The time at which rows of a test expire, unless the test is about expiry.
const LATER: Duration = Duration::from_secs(1_750_000_000 + 7200);

fn address(id: &str) -> Address {
    Address {
        id: ConnectionId(id.into()),
        endpoint: "https://abc.execute-api.eu-central-1.amazonaws.com/prod".into(),
    }
}
