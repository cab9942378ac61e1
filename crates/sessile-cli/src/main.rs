//! The command `sessile`.

mod args;
mod demo;
mod failure;
mod logging;
mod output;
mod repair;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    args::{Args, Command},
    failure::Failure,
};

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(code) => code,
        Err(failure) => {
            output::complain(&format!("error: {failure}"));
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<ExitCode, Failure> {
    logging::start()?;
    match &args.command {
        Command::Demo(options) => demo::run(options),
        Command::Repair(options) => repair::run(options),
    }
}
