create database mlflow;
create database mlflow_auth;
create database prefect;
