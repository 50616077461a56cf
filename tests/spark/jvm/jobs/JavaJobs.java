package jobs;

import com.typesafe.config.Config;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import spark.jobserver.api.JobEnvironment;
import spark.jobserver.japi.JSessionJob;
import spark.jobserver.japi.JSparkJob;

/** Jobs by the traits for Java. */
public class JavaJobs {
    public static class Count implements JSparkJob<List<String>, Map<String, Long>> {
        @Override
        public List<String> verify(JavaSparkContext sc, JobEnvironment runtime, Config config) {
            if (!config.hasPath("words")) {
                throw new IllegalArgumentException("no words");
            }
            return config.getStringList("words");
        }

        @Override
        public Map<String, Long> run(JavaSparkContext sc, JobEnvironment runtime, List<String> words) {
            return new TreeMap<>(sc.parallelize(words).map(String::toUpperCase).countByValue());
        }
    }

    public static class Session implements JSessionJob<Object, Object> {
        @Override
        public Object verify(SparkSession spark, JobEnvironment runtime, Config config) {
            return config.hasPath("n") ? config : new IllegalArgumentException("no n");
        }

        @Override
        public Object run(SparkSession spark, JobEnvironment runtime, Object data) {
            return spark.range(((Config) data).getInt("n")).count();
        }
    }
}
