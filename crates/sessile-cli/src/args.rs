//! What can be asked of `sessile` on the command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// HTTP sessions that are never lost, never overwritten and never alive after they were ended.
#[derive(Debug, Parser)]
#[command(name = "sessile", version, propagate_version = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(Demo),
    Repair(Repair),
}

/// Repairs the built-in database in a directory
///
/// Drops records whose checksum is wrong and makes the indexes anew; everything else stays. Stop the
/// application first, and copy the directory if its damaged records may still be wanted.
#[derive(Debug, clap::Args)]
pub(crate) struct Repair {
    /// The database's directory, as in `embedded:DIRECTORY`
    pub(crate) directory: PathBuf,
}

/// Serves a small site on this computer that shows what sessions can do
///
/// Serves a small site on this computer: sign in by any name, a cart that counts every click, your
/// devices, what the server stores about you, and a laboratory (/lab) that runs the races which
/// other session libraries lose and shows what came out.
///
/// Sessions are kept in the built-in database under ./sessile-data, so everybody is still signed in
/// after a restart.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER)]
pub(crate) struct Demo {
    /// Port to serve on; 0 takes any free one and prints it
    #[arg(long, default_value_t = 3000, value_name = "PORT")]
    pub(crate) port: u16,

    /// Where sessions are kept: `embedded:DIRECTORY` or `memory:`
    #[arg(long, default_value = sessile::store::DEFAULT_URL, value_name = "URL")]
    pub(crate) store: String,

    /// For tools that refuse Secure cookies over http: a cookie named `id` without Secure
    #[arg(long)]
    pub(crate) insecure_cookie: bool,
}

const AFTER: &str = "\
Plain routes for scripts (all GET, answers are text):
  /lab/new               begins a session with `user`, `n` = 0 and a `payload` of 160 bytes: ok
  /lab/none              leaves the session alone: ok
  /lab/read              the counter `n`, or 404
  /lab/write             adds one to `n` and answers it, or 404
  /lab/slow?ms=&key=     looks at `n`, sleeps, sets `key` to 1: ok, or 404
  /lab/slowread?ms=      looks at `n`, sleeps, answers it, or 404
  /lab/keys              which keys there are: `user=1 n=0 a=0 b=0`, or 404
  /lab/destroy           ends the session: ok
  /cart.txt              how many things are in the cart

Posts for scripts: /cart (adds one; form field `item` is optional), /sign-in (form field `name`),
/sign-out, /devices/others/end.

  curl -c jar -b jar -X POST http://localhost:3000/cart
  curl -b jar http://localhost:3000/cart.txt

Browsers and curl (7.79 or later) take the Secure cookie on http://localhost and http://127.0.0.1.

RUST_LOG sets what is logged to stderr, for example RUST_LOG=debug. Default: warn,sessile=info.";
