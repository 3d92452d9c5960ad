//! A home, and an AWS emulator that stores its token.

use latchkey_dev::home::{HomeOptions, SimulatedHome};
use latchkey_dev::stack::{AwsEmulator, Function, FunctionOptions, RealHome, RealHomeOptions};

use crate::bootstrap::options;
use crate::callers::{SECRET, SECRET_PARAMETER};
use crate::home::home_with;
use crate::sandbox::{Sandbox, SandboxBuilder};

/// The parameter that stores the token.
pub const PARAMETER: &str = "/homeautomation/tokens/home-assistant";
/// The call that reads the token.
pub const GET_PARAMETER: &str = "ssm:GetParameter";

/// A home that a [`Stage`] can have.
pub trait Home: Sized {
    /// The settings that the home starts with.
    type Options: Default;

    /// Starts a home.
    fn open(options: Self::Options) -> impl Future<Output = Self>;

    /// Returns the URL of the home.
    fn address(&self) -> String;

    /// Returns a token that the home accepts.
    ///
    /// A simulated home mints a token with this name. A real home returns its owner's token.
    fn owners_token(&self, name: &str) -> String;
}

impl Home for SimulatedHome {
    type Options = HomeOptions;

    async fn open(options: HomeOptions) -> Self {
        home_with(options).await
    }

    fn address(&self) -> String {
        self.url()
    }

    fn owners_token(&self, name: &str) -> String {
        self.mint_token(name)
    }
}

impl Home for RealHome {
    type Options = RealHomeOptions;

    async fn open(options: RealHomeOptions) -> Self {
        Self::start(options).await.unwrap()
    }

    fn address(&self) -> String {
        self.url().to_owned()
    }

    fn owners_token(&self, _name: &str) -> String {
        self.token().to_owned()
    }
}

/// A home, and an AWS emulator that stores its token.
pub struct Stage<H = SimulatedHome> {
    /// The home.
    pub home: H,
    /// The AWS emulator.
    pub aws: AwsEmulator,
    /// The stored token. The home accepts it unless the test has chosen another text.
    pub token: String,
}

impl Stage<SimulatedHome> {
    /// Prepares a stage with a simulated home.
    pub fn builder() -> StageBuilder<SimulatedHome> {
        StageBuilder::new(HomeOptions::default())
    }

    /// Returns the number of service calls that the home has executed.
    pub fn executed(&self) -> usize {
        self.home.counters().service_calls.len()
    }

    /// Revokes the stored token, and waits until the sockets opened with it are closed.
    pub async fn revoke(&self) {
        assert!(self.home.revoke(&self.token));
        self.home
            .wait_for(|counters| counters.open_sockets == 0)
            .await;
    }
}

impl Stage<RealHome> {
    /// Prepares a stage with a real Home Assistant.
    ///
    /// The home bans an address after nine failed logins. Without a limit Home Assistant does not log a failed login
    /// over REST.
    pub fn real() -> StageBuilder<RealHome> {
        StageBuilder::new(RealHomeOptions::default().login_attempts_threshold(9))
    }

    /// Stops the emulator and the home.
    pub async fn stop(self) {
        self.aws.stop().await;
        self.home.stop().await;
    }
}

impl<H: Home> Stage<H> {
    /// Prepares the function in this process, with this AWS and this home.
    pub fn sandbox(&self) -> SandboxBuilder {
        Sandbox::builder()
            .aws(&self.aws)
            .env("HA_URL", self.home.address())
    }

    /// Returns the options of the executable under Lambda's emulator, with this AWS and this home.
    ///
    /// `built` is the executable of this build, `env!("CARGO_BIN_EXE_bootstrap")` in a test.
    pub fn options(&self, built: &str) -> FunctionOptions {
        options(built, &self.aws, &self.home.address())
    }

    /// Starts the executable under Lambda's emulator; see [`Stage::options`].
    pub async fn function(&self, built: &str) -> Function {
        Function::start(self.options(built)).await.unwrap()
    }

    /// Returns the number of reads of a single parameter.
    pub async fn reads(&self) -> u64 {
        self.aws.calls_of(GET_PARAMETER).await.unwrap()
    }
}

/// The settings that a [`Stage`] starts with.
pub struct StageBuilder<H: Home> {
    home: H::Options,
    token_name: &'static str,
    token: Option<String>,
    key: Option<&'static str>,
    table: Option<&'static str>,
    callers: bool,
}

impl<H: Home> StageBuilder<H> {
    fn new(home: H::Options) -> Self {
        Self {
            home,
            token_name: "latchkey",
            token: None,
            key: None,
            table: None,
            callers: false,
        }
    }

    /// Sets the home's settings.
    pub fn home(mut self, options: H::Options) -> Self {
        self.home = options;
        self
    }

    /// Sets the name by which a simulated home knows the token. The default is `latchkey`.
    pub fn token_named(mut self, name: &'static str) -> Self {
        self.token_name = name;
        self
    }

    /// Stores this text instead of a token that the home accepts.
    pub fn token(mut self, text: impl Into<String>) -> Self {
        self.token = Some(text.into());
        self
    }

    /// Encrypts the token with this key instead of AWS's own.
    pub fn key(mut self, id: &'static str) -> Self {
        self.key = Some(id);
        self
    }

    /// Creates a table.
    pub fn table(mut self, name: &'static str) -> Self {
        self.table = Some(name);
        self
    }

    /// Stores the secret that callers' tokens are signed with; see [`crate::callers`].
    pub fn callers(mut self) -> Self {
        self.callers = true;
        self
    }

    /// Starts the home and the emulator, and stores the token.
    pub async fn start(self) -> Stage<H> {
        let (home, aws) = tokio::join!(H::open(self.home), AwsEmulator::start());
        let aws = aws.unwrap();
        let token = match self.token {
            Some(text) => text,
            None => home.owners_token(self.token_name),
        };
        aws.put_secure(PARAMETER, &token, self.key).await.unwrap();
        if self.callers {
            aws.put_token(SECRET_PARAMETER, SECRET).await.unwrap();
        }
        if let Some(name) = self.table {
            aws.create_table(name).await.unwrap();
        }
        Stage { home, aws, token }
    }
}
